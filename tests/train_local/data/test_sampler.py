import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset, default_collate

from train_local.data import sampler


@given(st.integers(0, 99), st.integers(1, 30), st.integers(0, 4))
def test_every_round_visits_everything_once(seed, count, epoch):
    walk = [sampler.shuffled(seed, 0, epoch * count + place, count) for place in range(count)]
    assert sorted(walk) == list(range(count))


def test_rounds_and_streams_have_orders_of_their_own():
    def walk(stream, epoch):
        return [sampler.shuffled(3, stream, epoch * 50 + place, 50) for place in range(50)]

    assert walk(0, 0) != walk(0, 1)
    assert walk(0, 0) != walk(1, 0)


@given(st.floats(0, 1), st.integers(1, 200))
def test_shares_are_kept_at_every_point(part, length):
    counts = {True: 0, False: 0}
    for number in range(length):
        kind, before = sampler.share(number, part)
        assert before == counts[kind]
        counts[kind] += 1
        assert abs(counts[True] - part * (number + 1)) <= 1


class Draws(Dataset):
    def __getitem__(self, position):
        return sampler.generator(7, *position).integers(0, 1 << 30)


def drawn(first, total, *, workers):
    steps = sampler.Steps(first, total, sampler.Layout(2, 2))
    loaded = sampler.loader(Draws(), steps, collate=default_collate, workers=workers, pin=False)
    return np.concatenate([batch.numpy() for batch in loaded])


def test_batches_do_not_depend_on_workers_nor_on_where_loading_began():
    whole = drawn(0, 6, workers=0)
    assert len(whole) == 6 * 4
    assert len(set(whole.tolist())) == len(whole)
    assert np.array_equal(whole, drawn(0, 6, workers=2))
    assert np.array_equal(whole[3 * 4 :], drawn(3, 6, workers=1))
