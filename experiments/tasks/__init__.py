"""Real models on real data, each with a name: what a recipe is judged by. `python -m experiments.tasks` fetches the data."""
