// Stands in for gloo's header of this name, which libtorch does not ship: see group.cpp.
#pragma once
