"""Error against bytes of every sketch, beside peers, theory and the limit: `python -m benchmarks.accuracy -h`.

measure.py says what a figure is, streams.py makes the data, jobs/ measure, page.py shows. States that would take too
long to feed come from benchmarks/simulate.py.
"""
