"""The small samples in the package; README.md says where they come from."""
