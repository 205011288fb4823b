// Pictures as Sixel, the graphics of DEC's terminals that xterm, foot, mlterm, Konsole and Windows Terminal draw.
//
// Source: DEC, "VT330/VT340 Programmer Reference Manual, Volume 2: Graphics Programming" (EK-VT3XX-GP-002), chapter 14.
// Thread-safety: pure functions.
#pragma once

#include <string>

#include "headstart/image.h"

namespace headstart::cli {

// The whole escape sequence: at most 256 colours by median cut, dithered (Floyd and Steinberg) unless the picture has no more than that.
// The cursor ends below the picture.
std::string sixel_text(const Image& image);

}  // namespace headstart::cli
