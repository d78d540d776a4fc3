"""The small samples that the package carries; README.md says where they come from."""
