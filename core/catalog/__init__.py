"""Raw files and uploads -> clean values: photos.py, words.py, tables.py and folder.py; every refusal with its reason."""
