"""What the local sides share and never reaches Kaggle: `predict.py` embeds nothing of this folder."""
