// Says hello from the platform it was compiled for.
package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// platform is written as OCI does: os/architecture, and for 32-bit ARM the variant.
func platform() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "GOARM" {
			name += "/v" + setting.Value[:1]
		}
	}
	return name
}

func main() {
	fmt.Printf("Hello, %s!\n", platform())
}
