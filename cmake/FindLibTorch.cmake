# Finds LibTorch: the folder that holds include/torch and lib/libtorch_cpu.so, be it a LibTorch archive, a Python installation of torch, or
# the unpacked wheels that tools/setup.sh fetches. Looked for in CMAKE_PREFIX_PATH, then in the project's own folder.
#
# TorchConfig.cmake is not used: that of a CUDA wheel asks for the CUDA toolkit even where only the CPU library is linked.
#
# Target: LibTorch::LibTorch (torch_cpu, c10; with HEADSTART_CUDA also torch_cuda, c10_cuda). Variables: LibTorch_LIBRARY_DIR,
# LibTorch_C10D_INCLUDE_DIRS.
if(HEADSTART_CUDA)
  set(_libtorch_own libtorch-cuda)
else()
  set(_libtorch_own libtorch)
endif()
find_path(LibTorch_INCLUDE_DIR ATen/core/Tensor.h
  PATH_SUFFIXES include torch/include
  HINTS ${CMAKE_PREFIX_PATH} $ENV{CMAKE_PREFIX_PATH} ${PROJECT_SOURCE_DIR}/.deps/${_libtorch_own})
if(LibTorch_INCLUDE_DIR)
  get_filename_component(_libtorch_root ${LibTorch_INCLUDE_DIR} DIRECTORY)
  set(LibTorch_LIBRARY_DIR ${_libtorch_root}/lib)
  set(LibTorch_CPU_LIBRARY ${LibTorch_LIBRARY_DIR}/libtorch_cpu.so)
  set(LibTorch_C10_LIBRARY ${LibTorch_LIBRARY_DIR}/libc10.so)
  if(EXISTS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h)
    file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h _libtorch_version REGEX "TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  elseif(EXISTS ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h)
    file(STRINGS ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include/torch/version.h _libtorch_version REGEX "TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  endif()
  string(REGEX MATCHALL "[0-9]+" _libtorch_version "${_libtorch_version}")
  list(JOIN _libtorch_version "." LibTorch_VERSION)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run tools/setup.sh, or name the folder of your own LibTorch with -DCMAKE_PREFIX_PATH=/path/to/libtorch")
if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  # LibTorch's folder holds copies of other libraries' headers too (fmt, protobuf, pybind11), which would hide the system's: only its own
  # headers are shown.
  set(_libtorch_headers ${CMAKE_BINARY_DIR}/libtorch_headers)
  file(MAKE_DIRECTORY ${_libtorch_headers})
  foreach(_libtorch_folder ATen c10 torch caffe2)
    if(EXISTS ${LibTorch_INCLUDE_DIR}/${_libtorch_folder})
      file(CREATE_LINK ${LibTorch_INCLUDE_DIR}/${_libtorch_folder} ${_libtorch_headers}/${_libtorch_folder} SYMBOLIC)
    endif()
  endforeach()
  target_include_directories(LibTorch::LibTorch INTERFACE ${_libtorch_headers})
  # What torch/csrc/distributed includes beside: LibTorch's own API folder, and for NCCL the headers of CUDA and NCCL, where the wheels put them.
  set(LibTorch_C10D_INCLUDE_DIRS ${_libtorch_headers}/torch/csrc/api/include)
  if(HEADSTART_CUDA)
    file(GLOB _libtorch_nvidia ${_libtorch_root}/../nvidia/*/include)
    list(APPEND LibTorch_C10D_INCLUDE_DIRS ${_libtorch_nvidia})
  endif()
  target_link_libraries(LibTorch::LibTorch INTERFACE ${LibTorch_CPU_LIBRARY} ${LibTorch_C10_LIBRARY})
  if(HEADSTART_CUDA)
    # Nothing refers to torch_cuda by symbol: it registers its kernels when it is loaded, so the linker must not drop it.
    target_link_libraries(LibTorch::LibTorch INTERFACE
      "-Wl,--no-as-needed,${LibTorch_LIBRARY_DIR}/libtorch_cuda.so,--as-needed" ${LibTorch_LIBRARY_DIR}/libc10_cuda.so)
    target_compile_definitions(LibTorch::LibTorch INTERFACE HEADSTART_CUDA=1)
  endif()
endif()
