import pytest
import torch

from kit.errors import KitError
from kit.inference.forward import Batcher, is_out_of_memory


class Doubler(torch.nn.Module):
    """Doubles its input; memory runs out above `largest` items."""

    def __init__(self, largest, error):
        super().__init__()
        self.largest, self.error, self.sizes = largest, error, []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.largest:
            raise self.error
        return x * 2


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory")
CUDNN = RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")


@pytest.mark.parametrize("error", [CUDA, CPU, CUDNN, MemoryError()])
@pytest.mark.parametrize(("largest", "sizes"), [(8, [8]), (4, [8, 4, 4]), (3, [8, 4, 2, 2, 2, 2])])
def test_the_batch_is_halved_until_it_fits_and_nothing_is_lost(error, largest, sizes):
    module, x = Doubler(largest, error), torch.arange(8)
    batcher = Batcher(8, where="m")
    assert torch.cat(batcher.run(module, x)).tolist() == (x * 2).tolist()
    assert module.sizes == sizes


def test_the_next_batch_starts_with_the_size_that_fitted():
    module, batcher = Doubler(2, CUDA), Batcher(8, where="m")
    batcher.run(module, torch.arange(8))
    module.sizes.clear()
    batcher.run(module, torch.arange(5))
    assert module.sizes == [2, 2, 1]


def test_a_smaller_last_batch_is_halved_from_what_it_held():
    module, batcher = Doubler(1, CUDA), Batcher(8, where="m")
    batcher.run(module, torch.arange(3))
    assert module.sizes == [3, 1, 1, 1]
    alone = Doubler(0, CUDA)
    with pytest.raises(KitError, match="batch of one"):
        Batcher(8, where="m").run(alone, torch.arange(1))
    assert alone.sizes == [1]


def test_a_single_item_that_does_not_fit_names_member_and_image():
    with pytest.raises(KitError, match="memory ran out with a batch of one") as caught:
        Batcher(4, where="member m, image i").run(Doubler(0, CUDA), torch.arange(3))
    assert "where: member m, image i" in str(caught.value)
    assert "smaller window" in str(caught.value)


def test_other_errors_are_not_taken_for_a_full_memory():
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        Batcher(4, where="m").run(Doubler(0, RuntimeError("shapes")), torch.arange(3))


def test_a_real_allocation_that_cannot_succeed_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_the_example_of_the_documentation():
    pieces = []

    def work(piece):
        if piece == slice(8, 16):
            raise MemoryError
        pieces.append((piece.start, piece.stop))

    batcher = Batcher(8, where="member a")
    batcher.pieces(work, 20)
    assert pieces == [(0, 8), (8, 12), (12, 16), (16, 20)]
    assert batcher.size == 4
