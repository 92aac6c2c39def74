"""The numbers that judge a run: metrics, splits, significance (torch-free), and the protocols that use them.

metrics       per-user ranking metrics with documented ties, list metrics, rating metrics
splits        every split as a label per interaction, with a fingerprint that is shown beside every number
significance  bootstrap over users or products, paired tests, Holm
"""
