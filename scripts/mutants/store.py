"""Bugs in the directory store."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "file not synced before it is published",
        "latentcrdt/store/durability.py",
        "            file.sync()",
        "            pass",
        "tests/store/test_order_of_syncs.py",
    ),
    Mutant(
        "directory not synced after a fragment is published",
        "latentcrdt/store/objects.py",
        "self._disk.link(staged, final)\n            self._durability.sync_directory(final.parent)",
        "self._disk.link(staged, final)",
        "tests/store/test_order_of_syncs.py",
    ),
    Mutant(
        "writes go on after a failed fsync",
        "latentcrdt/store/durability.py",
        "if self._refusal is not None:",
        "if False:",
        "tests/store/test_io_failures.py",
    ),
    Mutant(
        "staged files of a killed process left behind",
        "latentcrdt/store/directory.py",
        "            self._clear(self._staging.parent)\n",
        "",
        "tests/store/test_recovery.py",
    ),
    Mutant(
        "segments of a killed process believed unsynced",
        "latentcrdt/store/membership_log.py",
        "            self._durability.sync_file(file)\n            data = bytearray()",
        "            data = bytearray()",
        "tests/durability/test_found.py",
    ),
    Mutant(
        "records whose sync failed stay in the segment",
        "latentcrdt/store/membership_log.py",
        "            self._cut_back(segment)\n",
        "            pass\n",
        "tests/durability/test_found.py",
    ),
    Mutant(
        "the store's own name is not made durable",
        "latentcrdt/store/directory.py",
        "        self._durability.sync_way_to(root)\n",
        "",
        "tests/durability/test_found.py",
    ),
    Mutant(
        "a header that is known is believed whatever the file says",
        "latentcrdt/store/object_file.py",
        "if size == known.file_bytes and file.read(0, len(framing)) == framing:",
        "if size == known.file_bytes:",
        "tests/store/test_recovery.py",
    ),
    Mutant(
        "another file under the same name is sent for the one that is mapped",
        "latentcrdt/store/mapped_file.py",
        "if _identity(descriptor) != mapped.identity:",
        "if not descriptor:",
        "tests/store/test_mapped_file.py",
    ),
)
