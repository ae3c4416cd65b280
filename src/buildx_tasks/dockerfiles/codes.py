"""The codes of what lint finds: BuildKit's own and ours."""

from __future__ import annotations

CODES = (
    "ArchitectureInArg",
    "ArchitectureInCopy",
    "ArchitectureInFrom",
    "ArchitectureInRun",
    "BaseLacksPlatform",
    "EmulatedCompile",
    "EmulatedRun",
    "FinalStagePinned",
    "NoCacheMount",
    "SharedCacheMount",
    "SinglePlatformPin",
    "TargetPlatformUnused",
    "Unlocked",
)

# Source: https://github.com/moby/buildkit/tree/master/frontend/dockerfile/docs/rules
BUILDKIT_CODES = frozenset(
    "ConsistentInstructionCasing CopyIgnoredFile DuplicateStageName ExposeInvalidFormat "
    "ExposeProtoCasing FromAsCasing FromPlatformFlagConstDisallowed InvalidBaseImagePlatform "
    "InvalidDefaultArgInFrom InvalidDefinitionDescription JSONArgsRecommended LegacyKeyValueFormat "
    "MaintainerDeprecated MultipleInstructionsDisallowed NoEmptyContinuation "
    "RedundantTargetPlatform ReservedStageName SecretsUsedInArgOrEnv StageNameCasing "
    "UndefinedArgInFrom UndefinedVar WorkdirRelativePath".split()
)

KNOWN_CODES = BUILDKIT_CODES.union(CODES)
