"""Bugs in how a client fetches: in parts, at once, a few layers."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

FETCHING = "tests/client/test_fetching.py"

MUTANTS = (
    Mutant(
        "sections are not compared with their digests",
        "latentcrdt/core/sections_reader.py",
        "                check_section(self.header, section, self._hasher.digest())\n",
        "",
        "tests/core/test_sections_reader.py",
    ),
    Mutant(
        "a part begins one section too late",
        "latentcrdt/core/sections_reader.py",
        "range(self._section + 1, self._stop_section)",
        "range(self._section + 2, self._stop_section)",
        "tests/core/test_sections_reader.py",
    ),
    Mutant(
        "the first part forgets what it has hashed",
        "latentcrdt/core/sections_reader.py",
        "        other._hasher = self._hasher.copy()\n",
        "",
        "tests/core/test_sections_reader.py",
    ),
    Mutant(
        "a part that starts again goes on with the reader of the attempt before",
        "latentcrdt/client/flows/fetching.py",
        "SectionsReceiver(reader.copy(), body, own)",
        "SectionsReceiver(reader, body, own)",
        FETCHING,
    ),
    Mutant(
        "the rest of a part is asked for from the start of the file",
        "latentcrdt/client/intake.py",
        "ByteRange(self._coming.start + self._num_bytes, self._coming.stop)",
        "ByteRange(self._num_bytes, self._coming.stop)",
        FETCHING,
    ),
    Mutant(
        "any bytes are taken for those that were asked for",
        "latentcrdt/client/intake.py",
        "            _check_start(head, self._wanted.start)\n",
        "",
        FETCHING,
    ),
    Mutant(
        "a file may be longer than its header says",
        "latentcrdt/client/receivers.py",
        "            check_body_length(header, self._file_bytes - len(header.framing))\n",
        "            pass\n",
        FETCHING,
    ),
    Mutant(
        "parts of a file are written one after another",
        "latentcrdt/client/received_body.py",
        "            self._file.seek(self._offset + offset)\n",
        "",
        FETCHING,
    ),
    Mutant(
        "parts count for the progress of each other",
        "latentcrdt/client/meter.py",
        "            self.report(sum(self._parts))",
        "            self.report(done)",
        FETCHING,
    ),
    Mutant(
        "the layers of a fragment begin one layer too early",
        "latentcrdt/core/fragment_layers.py",
        "self.header.keys_section(self.layers.first).offset",
        "self.header.keys_section(max(self.layers.first - 1, 0)).offset",
        FETCHING,
    ),
    Mutant(
        "one that fails lets the others go on",
        "latentcrdt/client/gate.py",
        "                if self._is_closed:\n",
        "                if False:\n",
        "tests/client/test_side_by_side.py",
    ),
    Mutant(
        "whoever ends a group does not wait for what is going on",
        "latentcrdt/client/gate.py",
        "            self._changed.wait_for(lambda: self._num_inside == 0)\n",
        "",
        "tests/client/test_side_by_side.py",
    ),
    Mutant(
        "a call that has failed goes on asking",
        "latentcrdt/client/blocking.py",
        "                with gate.passing():\n                    pass",
        "                if gate:\n                    pass",
        FETCHING,
    ),
    Mutant(
        "a busy server is asked for everything at once or not at all",
        "latentcrdt/client/flows/steps.py",
        "    except BusyError:\n        return []\n",
        "    except BusyError:\n        raise\n",
        FETCHING,
    ),
    Mutant(
        "an event loop asks for everything at once",
        "latentcrdt/client/asynchronous.py",
        "asyncio.Semaphore(step.num_at_once)",
        "asyncio.Semaphore(1000)",
        FETCHING,
    ),
    Mutant(
        "an event loop leaves parts behind that still come",
        "latentcrdt/client/asynchronous.py",
        "                task.cancel()\n",
        "                pass\n",
        FETCHING,
    ),
    Mutant(
        "a cancelled call leaves its threads behind",
        "latentcrdt/client/asynchronous.py",
        "        await asyncio.wait({task})\n",
        "        pass\n",
        FETCHING,
    ),
    Mutant(
        "fragments in parts use more connections than there may be",
        "latentcrdt/client/flows/rendering_here.py",
        "connections = max(self._limits.connections // max(len(lacking), 1), 1)",
        "connections = self._limits.connections",
        FETCHING,
    ),
    Mutant(
        "threads write into the parts of each other",
        "latentcrdt/client/received_body.py",
        "        with self._lock:\n            self._file.seek",
        "        if self._lock:\n            self._file.seek",
        FETCHING,
    ),
    Mutant(
        "the headers of a render cost nothing",
        "latentcrdt/client/received_body.py",
        "self._claim(header.file_bytes)",
        "self._claim(header.body_bytes)",
        FETCHING,
    ),
    Mutant(
        "the rest of nothing is asked for",
        "latentcrdt/client/intake.py",
        "is_over = rest.stop is not None and rest.start >= rest.stop",
        "is_over = False",
        FETCHING,
    ),
)
