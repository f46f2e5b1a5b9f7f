"""Damaged files: what becomes of pictures, tables, documents, archives and models.

Run from the repository's root:
``python -m benchmarks.hostile [--flips 600] [--mutations 200] [--only KIND] [--cost]``.

Every case is a damaged file, read as jobs and page read it, in a process of its own that may not
take longer than ``--seconds``.  In a picture one random bit is flipped.  In the other files half of
the cases damage bytes (bits flipped, blocks blanked, removed, inserted or swapped, a missing end),
and half what the file says (entries, rows, arrays or groups of weights that are gone, of another
type, not finite, huge or nested 1,000 deep; other encodings; other names of classes).  It prints,
for each kind: how many were refused with a reason that names the file, accepted with the very
content of the undamaged file, accepted with another one, ended in a traceback (or a crash, or a
reason that names no file), and hung.  A traceback, a hang, or another content where checksums tell
it (PNG) makes the exit code 1.

To add a kind, give `KINDS` of `hostile_pictures` or `hostile_files` an entry.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import hostile_files, hostile_pictures
from benchmarks.hostile_reader import OUTCOMES, Kind, try_mutations

WIDTH = 32
"""Characters of the column of kinds."""


def print_row(name: str, kind: Kind, file: Path, number: int, options: argparse.Namespace) -> bool:
    """Print what became of a kind; return False on a traceback, a hang or an unnoticed change."""
    counts: Counter[str] = Counter()
    for outcome, damage, reason in try_mutations(kind, file, number, options.seed, options.seconds):
        counts[outcome] += 1
        if outcome in {"traceback", "hang"} or outcome == options.show:
            print(f"{name}: {outcome} ({damage}): {reason}", file=sys.stderr)
    print(f"{name:{WIDTH}} {number:5}", *(f"{counts[outcome]:9}" for outcome in OUTCOMES))
    sys.stdout.flush()
    return not (counts["traceback"] or counts["hang"] or (kind.has_checksums and counts["changed"]))


def print_table(names: list[str], options: argparse.Namespace) -> bool:
    """Print a row a kind; return False on a traceback, a hang or an unnoticed change."""
    print(f"{'kind':{WIDTH}} tried", *(f"{outcome:>9}" for outcome in OUTCOMES))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        if any(name in hostile_files.KINDS for name in names):
            # TensorFlow does not work in a process that was forked from one that has it.
            writer = multiprocessing.Process(target=hostile_files.write_world, args=(Path(folder),))
            writer.start()
            writer.join()
            if writer.exitcode:
                sys.exit("The files that are to be damaged could not be written.")
        for name in names:
            if name in hostile_files.KINDS:
                kind, number = hostile_files.KINDS[name], options.mutations
                file = Path(folder, name)
            else:
                write, kind = hostile_pictures.KINDS[name]
                file, number = write(Path(folder, "case")), options.flips
            good &= print_row(name, kind, file, number, options)
    return good


def main() -> None:
    """Read the options and print the tables."""
    kinds = [*hostile_pictures.KINDS, *hostile_files.KINDS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=600, help="pictures of each kind")
    parser.add_argument("--mutations", type=int, default=200, help="other files of each kind")
    parser.add_argument("--only", choices=kinds, nargs="+", help="some kinds alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20, help="what takes longer hangs")
    parser.add_argument("--show", choices=OUTCOMES, help="tell of the cases with this outcome, too")
    parser.add_argument("--cost", action="store_true", help="print what the checks cost instead")
    options = parser.parse_args()
    if options.cost:
        print("format  size         header ms  damage ms  check ms (both, and SHA-256)")
        for name, size, header, damage, whole in hostile_pictures.cost_rows():
            print(f"{name:7} {size:12} {header:9.2f} {damage:10.2f} {whole:9.2f}")
        return
    sys.exit(not print_table(options.only or kinds, options))


if __name__ == "__main__":
    main()
