"""Raw files and uploads -> clean values (photos, words, tables, folder); every refusal comes with its reason."""
