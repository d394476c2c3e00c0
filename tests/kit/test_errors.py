import pickle

from kit.errors import KitError, did_you_mean
from kit.local.kaggle.outcome import Refused


def test_message_says_what_where_and_what_to_do():
    error = KitError("weights are truncated", where="a/b.safetensors", fix="upload the dataset again")
    assert str(error) == "weights are truncated\n  where: a/b.safetensors\n  fix:   upload the dataset again"
    assert str(KitError("weights are truncated", where="a")) == "weights are truncated\n  where: a"
    assert str(KitError("weights are truncated")) == "weights are truncated"


def test_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(KitError("p", where="w", fix="f")))
    assert (error.problem, error.where, error.fix) == ("p", "w", "f")


def test_an_error_stays_of_its_kind_with_all_it_knows():
    error = pickle.loads(pickle.dumps(Refused("a.B", status=429, reason="later", retry_after=3.0)))
    assert type(error) is Refused
    assert (error.status, error.reason, error.retry_after) == (429, "later", 3.0)
    assert str(error) == str(Refused("a.B", status=429, reason="later"))


def test_near_words_are_offered_and_others_are_not():
    assert did_you_mean("trian", ["train", "train-all", "show"]) == "did you mean 'train'? "
    assert did_you_mean("kidny", {"kidney": 1, "body": 2}) == "did you mean 'kidney'? "
    assert did_you_mean("heart", ["kidney", "body"]) == ""
    assert did_you_mean("unet", ["unet-a", "unet-b"], most=1).count("'") == 2
