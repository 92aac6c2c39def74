"""The map of a run: what its space looks like before and after alignment, in places and in numbers.

space.py    a run and its catalogue -> the vectors of every item, every modality, before and after (loads torch)
report.py   those vectors -> the numbers beside the picture, and the pairs that do not belong together
make.py     both, drawn by PCA and then by UMAP, kept step by step: the long work behind `map`
stored.py   what is kept of it in the workspace: light, so that a page can show a map without loading a model
"""
