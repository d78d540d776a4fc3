"""Fast code for float32 on the CPU. All of it but `geometry` imports Numba."""
