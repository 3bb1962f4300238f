#!/usr/bin/env python3
# Generic mutants without any guest: which changes are worth trying, what is kept of a run that was ended, and whom survivors.txt names.
import tempfile
import unittest
from pathlib import Path

import generic


class Operators(unittest.TestCase):
    def test_what_is_the_same_twice_is_not_doubled(self):
        for line, same in (("    t->pend = 0;", True), ("    t->loan = t->loan + 1;", False), ("    local_irq_disable();", True),
                           ("    movq    %rsp, %gs:PERCPU_USER_RSP", True), ("    movq    (%rax), %rax", False), ("    pushq   %rax", False)):
            self.assertEqual(generic.is_idempotent(line), same, line)

    def test_what_does_not_matter_to_each_other_is_not_swapped(self):
        for one, other, free in (("    movq    %rsp, %rdi", "    movq    REGS_ORIG_AX(%rsp), %rsi", True),
                                 ("    movq    %rsp, %gs:PERCPU_USER_RSP", "    movq    %gs:PERCPU_KERNEL_TOP, %rsp", False),  # both RSP
                                 ("    movl    %eax, %ebx", "    movq    %rbx, %rcx", False),                                # the same register
                                 ("    cmpq    %rcx, %r11", "    testl   %edx, %edx", False),                                # both set flags
                                 ("    movq    (%rax), %rbx", "    movq    %rcx, 8(%rdx)", False),                           # both memory
                                 ("    movl    $1, %eax", "    pushq   %rbx", False)):                                       # not understood
            self.assertEqual(generic.may_change_places(one, other), free, f"{one} / {other}")

    def test_marks_are_left_alone(self):
        self.assertFalse([m.name for m in generic.all_mutants() if m.before.startswith(("mark(", "given(", "taken("))])

    def test_survivors_are_mutants(self):
        names = {mutant.name for mutant in generic.all_mutants()}
        self.assertEqual([name for name in generic.explained() if name not in names], [], "tests/self/survivors.txt names what is no mutant any more")
        self.assertEqual([name for name, why in generic.explained().items() if not why], [])


class Journal(unittest.TestCase):
    def test_goes_on_where_it_was(self):
        first, second, third = generic.all_mutants()[:3]
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "journal")
            journal = generic.Journal(path, "this guest")
            first.by = "a-trial"
            journal.note(first)
            journal.note(second)
            with open(path, "a") as file:
                file.write('{"name": "cut o')
            again = generic.Journal(path, "this guest")
            first.by = ""
            self.assertEqual([again.recall(mutant) for mutant in (first, second, third)], [True, True, False])
            self.assertEqual([first.by, second.by], ["a-trial", ""])
            again.note(third)
            self.assertTrue(generic.Journal(path, "this guest").recall(third))
            with self.assertRaisesRegex(ValueError, "journal was written for another guest, program or set of trials; name a new file"):
                generic.Journal(path, "another guest")

    def test_without_a_file_there_is_none(self):
        mutant = generic.all_mutants()[0]
        journal = generic.Journal("", "this guest")
        journal.note(mutant)
        self.assertFalse(journal.recall(mutant))


if __name__ == "__main__":
    unittest.main()
