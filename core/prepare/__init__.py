"""Preparation that needs vectors and more than one stage: photos against words, words against stars, imputers.

`find_faults` runs every cleaning step of `core.catalog.clean` over one catalogue; `impute` fills in missing modalities.
"""
