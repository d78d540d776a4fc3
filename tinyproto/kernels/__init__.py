"""The bodies of the kernels that run on CPU and GPU: the only code that both compile. The CPU's
own, faster code is in `tinyproto.cpu`."""
