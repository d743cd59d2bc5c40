"""The README's program, run as it stands, on the real model and a real server."""

from __future__ import annotations

import re
from pathlib import Path

from latentcrdt_server.child_process import ServerProcess

from latentcrdt import Client

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run(tmp_path, capsys):
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(program.splitlines()) <= 10
    with ServerProcess(tmp_path / "data") as server:
        address = "http://127.0.0.1:8000"
        assert address in program
        exec(program.replace(address, server.url), {})
        with Client(server.url) as client:
            assert len(client.state("task-42").members) == 2
    assert capsys.readouterr().out.strip()
