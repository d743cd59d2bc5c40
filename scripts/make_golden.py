"""Write latentcrdt/render/golden.json from the numpy reference.

Run it only under a new spec version: a changed digest means that renders changed everywhere.
"""

from __future__ import annotations

import json
from pathlib import Path

from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.testing.golden import compute

TARGET = Path(__file__).parent.parent / "latentcrdt" / "render" / "golden.json"

if __name__ == "__main__":
    TARGET.write_text(json.dumps(compute(ReferenceEngine()), indent=1) + "\n", encoding="ascii")
    print(f"wrote {TARGET.name}: {TARGET.stat().st_size} bytes")
