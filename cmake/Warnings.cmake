# A non-exported interface target: warnings concern those who work on headstart, not those who use it.
add_library(headstart_warnings INTERFACE)
target_compile_options(headstart_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
                                                    -Wimplicit-fallthrough -Wno-missing-field-initializers)
# GCC 12 and 13 see overlapping copies in std::string's own insert() once it is inlined (GCC bug 105329).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  target_compile_options(headstart_warnings INTERFACE -Wno-restrict)
endif()
if(HEADSTART_WERROR)
  target_compile_options(headstart_warnings INTERFACE -Werror)
endif()
