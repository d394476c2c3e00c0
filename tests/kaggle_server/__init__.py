"""A Kaggle on this machine, as strict as what is known of the real one, as unreliable as it is told to be.

It is driven through the official client, by `KAGGLE_API_ENVIRONMENT` and the proxy variables. Product code
never imports it.
"""
