"""The kernel bodies: the only code that touches array elements one by one."""
