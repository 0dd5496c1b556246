"""Counts what a computation reads back on the host, which on a GPU waits for the device and cannot be captured."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READING = {
    torch.ops.aten._local_scalar_dense.default,  # item(), bool(), int(), if
    torch.ops.aten.item.default,  # the same in inference mode
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.nonzero.default,  # a mask as an index, too
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
    torch.ops.aten._unique2.default,
}


class HostReads(TorchDispatchMode):
    """While entered, `names` lists the operations of this thread whose result the host has to know."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        masked = operation is torch.ops.aten.index.Tensor and any(
            place is not None and place.dtype in (torch.bool, torch.uint8) for place in args[1]
        )
        if operation in READING or masked:
            self.names.append(str(operation))
        return operation(*args, **(kwargs or {}))
