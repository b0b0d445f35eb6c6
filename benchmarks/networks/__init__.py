"""Networks: pruning beside peers and what statistics cost: `python -m benchmarks.networks -h`.

mnist.py reads the images, models.py has the networks, recipe.py trains and prunes, jobs/ measure, page.py shows.
"""
