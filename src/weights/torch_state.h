// From an unpickled document and its storages to a StateDict: what the zip and the legacy format share.
//
// Thread-safety: pure functions. Errors: Error(kModel) naming the tensor.
#pragma once

#include <functional>
#include <span>

#include "weights/pickle.h"
#include "weights/state_dict.h"

namespace headstart {

// The raw bytes of a storage; called once a tensor. Must throw where the file does not hold elements * element_bytes() of them.
using StorageBytes = std::function<std::span<const std::byte>(const pickle::StorageRecord&)>;

// Finds the dictionary of tensors (the root, or one level below under a known key) and copies its tensors to contiguous, row-major bytes.
// `file_bytes` bounds what strided views may expand to.
StateDict build_state_dict(const pickle::Document& document, std::size_t file_bytes, const StorageBytes& storage_bytes);

}  // namespace headstart
