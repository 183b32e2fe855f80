"""Benchmarks: what is compared, side by side in one run; ``make bench`` prints the tables and writes README.md."""
