# noqa: INP001 - a program, no module
"""Exit with 0 if the server of this container takes pushes, with 1 if not."""

import os
import sys
import urllib.error
import urllib.request

PORT = os.environ.get("LATENTCRDT_PORT", "8000")

try:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=4) as answer:
        sys.stdout.write(answer.read().decode())
except (urllib.error.URLError, TimeoutError) as error:
    sys.exit(f"not ready: {error}")
