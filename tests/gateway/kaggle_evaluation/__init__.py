"""A small package that speaks the protocol of Kaggle's `kaggle_evaluation`; a test's competition ships it.

Written from the public facts of version 1.7.0 (service, messages, ports, retries, who calls whom); none of
its code is Kaggle's. It has what an image competition uses: one endpoint, one thread, tables, texts, bytes.
"""
