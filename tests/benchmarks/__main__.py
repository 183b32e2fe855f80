"""Run every benchmark and print its ratios."""

from tests.benchmarks import startup, sums

if __name__ == "__main__":
    for line in (*startup.lines(), "", *sums.lines()):
        print(line)
