#include "cli.h"

int main(int argc, char** argv) { return headstart::cli::run(argc, argv); }
