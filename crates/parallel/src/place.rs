//! Which of how many processes this is, from the variables that launchers set.

use crate::Error;
use crate::nodes;

/// One process among several, and where they meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which process this is, from 0.
    pub rank: usize,
    /// How many there are.
    pub world: usize,
    /// Which of those on this machine it is, from 0: the number of its GPU.
    pub local_rank: usize,
    /// The host where they meet: that of rank 0, or of a launcher.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Whether rank 0 serves the store of words there; otherwise a launcher does.
    pub serves: bool,
    /// How often the processes were started anew by a launcher that goes on serving.
    pub attempt: u64,
}

const PORT: u16 = 29500;

impl Place {
    /// The place that the environment gives, read by `lookup`; `None` for a process by itself.
    ///
    /// | set by | variables |
    /// |---|---|
    /// | `torchrun`, `mp-train launch` | `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`, `MASTER_PORT` |
    /// | `mpirun` of Open MPI | `OMPI_COMM_WORLD_RANK`, `_SIZE`, `_LOCAL_RANK`, `_LOCAL_SIZE` |
    /// | `srun` | `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS`, `SLURM_LOCALID`, in a step |
    ///
    /// The first of these that is there counts. The last two do not say where to meet: `MASTER_ADDR` and `MASTER_PORT` do where
    /// they are set. Else Open MPI's processes on one machine meet at 127.0.0.1, port 29500, and Slurm's on the first host of
    /// `SLURM_STEP_NODELIST`, at port 12000 + (7 · job + step) mod 20000.
    ///
    /// # Errors
    /// [`Error::HalfASet`], [`Error::Variable`].
    pub fn of(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        let variables = Variables(&lookup);
        if ["RANK", "WORLD_SIZE", "LOCAL_RANK"].iter().any(|name| variables.text(name).is_some()) {
            return variables.torchrun().map(Some);
        }
        if variables.text("OMPI_COMM_WORLD_RANK").is_some() {
            return variables.open_mpi();
        }
        // A batch script has the variables of a task too, but is in no step.
        if variables.text("SLURM_STEP_ID").is_some() && variables.text("SLURM_PROCID").is_some() {
            return variables.slurm();
        }
        Ok(None)
    }

    /// Whether this process speaks and writes for all.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn torchrun(&self) -> Result<Place, Error> {
        self.ensure_all(&["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])?;
        let agent_serves = self.text("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True");
        let attempt = match agent_serves && self.text("TORCHELASTIC_RESTART_COUNT").is_some() {
            true => self.number("TORCHELASTIC_RESTART_COUNT", u64::MAX)?,
            false => 0,
        };
        let (rank, world) = self.rank_and_world("RANK", "WORLD_SIZE")?;
        Ok(Place {
            rank,
            world,
            local_rank: self.number("LOCAL_RANK", MOST)? as usize,
            host: self.text("MASTER_ADDR").unwrap_or_default(),
            port: self.port(PORT)?,
            serves: rank == 0 && !agent_serves,
            attempt,
        })
    }

    fn open_mpi(&self) -> Result<Option<Place>, Error> {
        const ALL: [&str; 4] = [
            "OMPI_COMM_WORLD_RANK",
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_LOCAL_RANK",
            "OMPI_COMM_WORLD_LOCAL_SIZE",
        ];
        self.ensure_all(&ALL)?;
        let (rank, world) = self.rank_and_world(ALL[0], ALL[1])?;
        let here = self.number(ALL[3], MOST)? as usize;
        if here < world {
            self.ensure_all(&["OMPI_COMM_WORLD_RANK", "MASTER_ADDR"])?;
        }
        Ok((world > 1).then_some(Place {
            rank,
            world,
            local_rank: self.number(ALL[2], MOST)? as usize,
            host: self.text("MASTER_ADDR").unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: self.port(PORT)?,
            serves: rank == 0,
            attempt: 0,
        }))
    }

    fn slurm(&self) -> Result<Option<Place>, Error> {
        const ALL: [&str; 4] = ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_ID"];
        self.ensure_all(&ALL)?;
        let (rank, world) = self.rank_and_world(ALL[0], ALL[1])?;
        if world == 1 {
            return Ok(None);
        }
        let host = match (self.text("MASTER_ADDR"), self.text("SLURM_STEP_NODELIST").as_deref().and_then(nodes::first))
        {
            (Some(address), _) => address,
            (None, Some(_)) if self.text("SLURM_STEP_NUM_NODES").as_deref() == Some("1") => "127.0.0.1".to_owned(),
            (None, Some(node)) => node,
            (None, None) => {
                self.ensure_all(&["SLURM_PROCID", "MASTER_ADDR"])?;
                String::new()
            }
        };
        let port = match (self.text("MASTER_PORT"), self.text("SLURM_JOB_ID")) {
            (None, Some(_)) => {
                let (job, step) = (self.number("SLURM_JOB_ID", MOST)?, self.number("SLURM_STEP_ID", MOST)?);
                // Below the ports that systems give to connections, and another one for each step of a job.
                12_000 + ((7 * job + step) % 20_000) as u16
            }
            _ => self.port(PORT)?,
        };
        let local_rank = self.number("SLURM_LOCALID", MOST)? as usize;
        Ok(Some(Place { rank, world, local_rank, host, port, serves: rank == 0, attempt: 0 }))
    }

    fn rank_and_world(&self, rank: &str, world: &str) -> Result<(usize, usize), Error> {
        let size = self.number(world, MOST)? as usize;
        let own = self.number(rank, MOST)? as usize;
        if size == 0 {
            return Err(self.wrong(world, "at least 1"));
        }
        if own >= size {
            return Err(self.wrong(rank, &format!("a number below the {size} of {world}")));
        }
        Ok((own, size))
    }

    fn port(&self, usual: u16) -> Result<u16, Error> {
        match self.text("MASTER_PORT") {
            None => Ok(usual),
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => Ok(port),
                _ => Err(self.wrong("MASTER_PORT", "a port, 1 to 65535")),
            },
        }
    }

    fn number(&self, name: &str, most: u64) -> Result<u64, Error> {
        let number = self.text(name).unwrap_or_default().parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| self.wrong(name, "a whole number"))
    }

    fn wrong(&self, variable: &str, expected: &str) -> Error {
        let value = self.text(variable).unwrap_or_default();
        Error::Variable { variable: variable.to_owned(), value, expected: expected.to_owned() }
    }

    fn ensure_all(&self, all: &[&str]) -> Result<(), Error> {
        let (present, missing): (Vec<&str>, Vec<&str>) = all.iter().partition(|name| self.text(name).is_some());
        match present.first() {
            Some(present) if !missing.is_empty() => Err(Error::HalfASet {
                present: (*present).to_owned(),
                missing: missing.into_iter().map(str::to_owned).collect(),
                all: all.join(", "),
            }),
            _ => Ok(()),
        }
    }
}

/// More processes than there are anywhere, and far from where arithmetic ends.
const MOST: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Place>, String> {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Place::of(lookup).map_err(|error| error.to_string())
    }

    const TORCHRUN: [(&str, &str); 5] =
        [("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "node0"), ("MASTER_PORT", "4001")];

    #[test]
    fn a_process_by_itself_has_no_place() {
        assert_eq!(of(&[]), Ok(None));
        // Of a batch script, which runs once; and addresses alone say nothing.
        assert_eq!(of(&[("SLURM_PROCID", "0"), ("SLURM_LOCALID", "0"), ("SLURM_NTASKS", "4")]), Ok(None));
        assert_eq!(of(&[("MASTER_ADDR", "node0"), ("MASTER_PORT", "1")]), Ok(None));
    }

    #[test]
    fn torchruns_variables() {
        let expected =
            Place { rank: 5, world: 8, local_rank: 1, host: "node0".to_owned(), port: 4001, serves: false, attempt: 0 };
        assert_eq!(of(&TORCHRUN), Ok(Some(expected.clone())));
        let first = |more: &[(&str, &str)]| {
            let mut variables = TORCHRUN.to_vec();
            variables[0].1 = "0";
            variables.extend(more);
            of(&variables).unwrap().unwrap()
        };
        assert!(first(&[]).serves);
        let agent = first(&[("TORCHELASTIC_USE_AGENT_STORE", "True"), ("TORCHELASTIC_RESTART_COUNT", "2")]);
        assert_eq!((agent.serves, agent.attempt), (false, 2));
    }

    #[test]
    fn open_mpis_variables() {
        let here = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        let place = of(&here).unwrap().unwrap();
        assert_eq!((place.rank, place.world, place.host.as_str(), place.port), (1, 2, "127.0.0.1", 29500));
        let mut apart = here.to_vec();
        apart[3].1 = "1";
        assert_eq!(
            of(&apart).unwrap_err(),
            "OMPI_COMM_WORLD_RANK is set, but not MASTER_ADDR: expected all of OMPI_COMM_WORLD_RANK, MASTER_ADDR from \
             whatever starts the processes, or none of them"
        );
        apart.push(("MASTER_ADDR", "a"));
        assert_eq!(of(&apart).unwrap().unwrap().host, "a");
    }

    #[test]
    fn slurms_variables() {
        let step = [
            ("SLURM_PROCID", "9"),
            ("SLURM_STEP_NUM_TASKS", "16"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_STEP_ID", "3"),
            ("SLURM_STEP_NODELIST", "gpu[07-08]"),
            ("SLURM_STEP_NUM_NODES", "2"),
            ("SLURM_JOB_ID", "4001"),
        ];
        let place = of(&step).unwrap().unwrap();
        // 7 · 4001 + 3 = 28010, less 20000.
        assert_eq!((place.rank, place.local_rank, place.host.as_str(), place.port), (9, 1, "gpu07", 20_010));
        let mut one = step.to_vec();
        one[5].1 = "1";
        assert_eq!(of(&one).unwrap().unwrap().host, "127.0.0.1");
        one.extend([("MASTER_ADDR", "a"), ("MASTER_PORT", "7")]);
        assert_eq!(of(&one).unwrap().map(|place| (place.host, place.port)), Some(("a".to_owned(), 7)));
        one[1].1 = "1";
        one[0].1 = "0";
        assert_eq!(of(&one), Ok(None), "one task is a process by itself");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let without = |name: &str| {
            let rest: Vec<_> = TORCHRUN.into_iter().filter(|(key, _)| *key != name).collect();
            of(&rest).unwrap_err()
        };
        assert_eq!(
            without("MASTER_PORT"),
            "RANK is set, but not MASTER_PORT: expected all of RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT from \
             whatever starts the processes, or none of them"
        );
        let with = |at: usize, value: &'static str| {
            let mut all = TORCHRUN;
            all[at].1 = value;
            of(&all).unwrap_err()
        };
        assert_eq!(with(0, "8"), "RANK is `8`, expected a number below the 8 of WORLD_SIZE");
        assert_eq!(with(1, "0"), "WORLD_SIZE is `0`, expected at least 1");
        assert_eq!(with(2, "x"), "LOCAL_RANK is `x`, expected a whole number");
        assert_eq!(with(4, "70000"), "MASTER_PORT is `70000`, expected a port, 1 to 65535");
    }

    proptest! {
        #[test]
        fn any_text_gives_a_place_or_one_line(values in proptest::collection::vec("[ -~]{0,6}|[0-9]{1,21}", 9)) {
            let names = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID",
                         "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID", "SLURM_STEP_NODELIST"];
            for skip in [0, 3] {
                let variables: Vec<_> =
                    names.iter().zip(&values).skip(skip).map(|(name, value)| (*name, value.as_str())).collect();
                match of(&variables) {
                    Ok(place) => prop_assert!(place.is_none_or(|place| place.rank < place.world)),
                    Err(line) => prop_assert!(!line.contains('\n')),
                }
            }
        }
    }
}
