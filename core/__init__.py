"""The core of Fusescope: read -> encode -> align -> fuse -> rank -> explain, without a screen.

Read first: `pipeline.py` (the whole path on one screen), then `domain.py` (the values that travel along it).

The folders are the verbs of the path; each holds one file a method and one registry:
    catalog   raw files and uploads -> clean values, every refusal with its reason
    encode    frozen pretrained networks: raw input -> token states and pooled vectors, cached by content
    align     trained: every modality into one shared space
    fuse      trained: aligned modalities -> one vector, with the gate each modality got
    rank      recommenders: scores of all items for a query or a user
    explain   what moved a score, and how far that account can be trusted
    train, evaluate   the loop that fits a run, the numbers that judge it
    store, jobs, workspace   rows, long work, and the folder that holds an installation

Rules (tests/test_architecture.py proves them): stages meet only in the pipeline; nothing in core knows a screen;
values flow forward, imports point back. `import core` loads neither torch nor transformers nor UMAP.

Shape letters, the same everywhere:
    B batch   L tokens of a modality (words W, patches P, frames T)   R media of a modality (photos of one item)
    M modalities   H heads   D shared width   E own width of an encoder   N items   U users   K returned
"""

__version__ = "0.1.0"
