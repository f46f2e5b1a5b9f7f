"""Kill a writer before any of its renames and removals: what a folder is like then."""

import os

KILLED = 9


def kill_before(step, write):
    """Call `write` in a child that ends, without a word, before its change number `step`.

    A change is a rename or a removal of a file.  Returns whether the child came that far.
    """
    child = os.fork()
    if not child:
        left = [step]
        for name in ("replace", "unlink"):
            setattr(os, name, _counted(getattr(os, name), left))
        try:
            write()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def _counted(change, left):
    def counted(*arguments, **options):
        if not left[0]:
            os._exit(KILLED)
        left[0] -= 1
        return change(*arguments, **options)

    return counted
