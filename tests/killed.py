"""Kill a writer before any of its renames and removals: what a folder is like then."""

import os

EXIT_CODE = 9


def kill_before(step, write):
    """Call `write` in a child that ends, without a word, before its change number `step`.

    A change is a rename or a removal of a file.  Returns whether the child came that far.
    """
    child = os.fork()
    if not child:
        steps_left = [step]
        for name in ("replace", "unlink"):
            setattr(os, name, _limit_changes(getattr(os, name), steps_left))
        try:
            write()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == EXIT_CODE


def _limit_changes(change, steps_left):
    def change_or_end(*arguments, **options):
        if not steps_left[0]:
            os._exit(EXIT_CODE)
        steps_left[0] -= 1
        return change(*arguments, **options)

    return change_or_end
