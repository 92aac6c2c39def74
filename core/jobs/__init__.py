"""Long work (import, train) runs in a process of its own and reports through the store; a page only looks.

queue.py starts, lists, cancels and resumes jobs; work.py is the other end, inside the process that does the work.
"""
