// Gluon's .params files: the list of named arrays that MXNet's NDArray::Save and Block.save_parameters write.
//
// A file is: magic 0x112 and a reserved 0 (u64 each); u64 count and that many arrays; u64 count and that many names (u64 length, bytes).
// An array, by its own u32 magic: 0xF993FAC9 (V2, MXNet 0.12 to 1.x) and 0xF993FACA (V3, NumPy semantics): i32 storage type, shape (i32
// rank, i64 each), i32 device type, i32 device number, i32 dtype, bytes; 0xF993FAC8 (V1): the same without a storage type; anything else
// is the rank itself, with u32 dimensions (before 0.12). Source: MXNet 1.9 src/ndarray/ndarray.cc, mshadow/base.h.
// Thread-safety: pure functions. Errors: Error(kModel) naming the array, what is damaged and where; Error(kFile) from writing.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "weights/state_dict.h"

namespace headstart {

// Dense arrays of the dtypes that a StateDict knows; sparse and never filled arrays are refused by name. The prefixes "arg:" and "aux:" of
// exported networks are taken off. Both namings are kept as they are (model/gluon_names.h turns the older into the newer).
StateDict read_gluon_params(std::span<const std::byte> bytes);

// V2 arrays, which every MXNet since 0.12 reads. Atomic, synced. A scalar becomes [1] and dtypes that MXNet 1.x lacks are refused:
// Error(kModel).
void write_gluon_params(const std::filesystem::path& path, const StateDict& state);

}  // namespace headstart
