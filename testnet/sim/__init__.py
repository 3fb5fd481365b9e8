"""The consensus simulator: virtual time, one heap, the real core, faults drawn from one seed."""
