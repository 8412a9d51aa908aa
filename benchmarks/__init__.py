"""Side by side with peers, never as a timed test. `python -m benchmarks.orchestration --help` tells what can be run."""
