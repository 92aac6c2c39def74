"""Ratios against named peers, measured in the same run on the same machine; started by hand with `python -m bench`.

A speed is a ratio to a peer at its best settings, in interleaved blocks, beside a control that compares ours with ours.
A faster result that is not equal is void. Absolute times are context. The test suite runs `--smoke` only: it checks the
report's form and the equality guards, never a time.

case.py      what a case is          machine.py  probes, noise, what machine this is
arms.py      one process an arm      timing.py   A B B A blocks -> ratio and interval
cases/       the cases themselves    results/    reports worth keeping
"""
