# A non-exported interface target: warnings concern those who work on headstart, not those who use it.
add_library(headstart_warnings INTERFACE)
target_compile_options(headstart_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
                                                    -Wimplicit-fallthrough -Wno-missing-field-initializers)
if(HEADSTART_WERROR)
  target_compile_options(headstart_warnings INTERFACE -Werror)
endif()
