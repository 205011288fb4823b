if(HEADSTART_SANITIZE)
  add_compile_options(-fsanitize=${HEADSTART_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HEADSTART_SANITIZE})
endif()
if(HEADSTART_FUZZ AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-fsanitize=fuzzer-no-link)  # without it the fuzzers do not see which code an input reaches
endif()
