# headstart_precompile(TARGET OWNER HEADERS headers…): with HEADSTART_PCH, the target's sources find HEADERS read already. They are compiled for
# OWNER and serve every later target of the same OWNER. For builds that only run tests: in the others a source that forgets an #include must
# not compile.
function(headstart_precompile target owner)
  if(NOT HEADSTART_PCH)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "HEADERS" ${ARGN})
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${ARG_HEADERS})
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")  # else ccache sees another header after every build
    endif()
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()
