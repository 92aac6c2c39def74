"""Rows of the database and what becomes of them: domain values go in and come out, rows never leave this folder.

tables.py the tables, engines.py how they are reached and which errors that can give, catalogues.py, runs.py,
queries.py and jobs.py what is kept, migrations/ how an old database becomes a new one.
"""
