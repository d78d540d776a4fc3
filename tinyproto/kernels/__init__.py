"""The bodies of the kernels: the only code that is compiled for both CPU and GPU. Faster code for
the CPU alone is in `tinyproto.cpu`."""
