"""Speed of every sketch beside its peers, the exact answer and the floor, in one run: `python -m benchmarks.speed -h`.

streams.py makes the data, jobs/ say who competes at what, worker.py times one job in a process of its own, results.py
turns the times into ratios and goals, page.py shows them.
"""
