"""Benchmarks, in which all times of a table are measured in one run; ``make bench`` prints and writes README.md."""
